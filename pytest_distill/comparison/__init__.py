"""Teacher, student and SFT student on one eval, side by side."""
