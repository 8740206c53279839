"""Finding objects: a small detector fine-tuned on labelled boxes, from its pretrained weights to its exported graph."""
