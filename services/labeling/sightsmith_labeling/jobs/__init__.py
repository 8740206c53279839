"""Long work of the labeling service: jobs that are leased, show progress and go on where they stopped."""
