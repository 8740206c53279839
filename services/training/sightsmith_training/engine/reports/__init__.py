"""What is handed out after a training: Custom Labels' six result files, a page for people, and overlay pictures."""
