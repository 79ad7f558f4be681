"""What is asked, and how an answer is scored. Knows neither torch nor pytest."""
