"""The built-in methods: ART-V, trivial ones that show what metrics see, folders of clips made elsewhere."""
