"""What is labelled in a project, fixed at one moment: taken, compared, brought back."""
