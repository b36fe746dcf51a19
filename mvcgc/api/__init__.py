"""The Python interface: everything that ``import mvcgc`` offers and no other package defines."""
