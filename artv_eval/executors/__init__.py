"""Ways to run the tasks of a sweep."""
