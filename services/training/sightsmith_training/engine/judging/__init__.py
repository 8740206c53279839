"""How good a model is: from what was labelled and what was predicted to every figure that is told of it."""
