"""The demo: real photographs, a trained and served model, and a report of what came of it."""
