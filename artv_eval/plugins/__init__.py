"""Plugins: what components are, how they are found, chosen, checked and built."""
