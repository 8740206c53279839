"""What is wrong or odd about data, found before a training has to find it."""
