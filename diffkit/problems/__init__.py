"""What is trained on: data sets, environments, economies."""
