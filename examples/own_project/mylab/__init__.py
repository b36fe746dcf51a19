"""A lab's own parts for mvcgc."""
