"""On which processors, in which processes and on which machines a training's work is done."""
