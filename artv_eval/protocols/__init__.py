"""Protocol cards and where their prompts and real clips come from, one file a data set."""
