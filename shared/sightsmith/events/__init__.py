"""Facts that services tell each other: written with the change they tell of, published at least once, handled once."""
