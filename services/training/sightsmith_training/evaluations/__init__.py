"""How good models are, told from what they said of the judged images."""
