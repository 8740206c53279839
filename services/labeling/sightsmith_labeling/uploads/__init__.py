"""From a stream of headers and chunks to stored images: assembled, checked, stored, committed, answered."""
