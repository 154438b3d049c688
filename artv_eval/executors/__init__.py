"""Ways to run the tasks of a sweep."""

LOSSES = 3  # workers that a task may take down before it is one that failed
