"""The training service: jobs, models and their evaluations, and the worker that carries jobs out."""
