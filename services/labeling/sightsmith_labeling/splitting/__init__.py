"""Who learns and who tests: choosing test images, and moving them."""
