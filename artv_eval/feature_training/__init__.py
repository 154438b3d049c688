"""Training of the networks that judge the shapes world, and what is remade with them."""
