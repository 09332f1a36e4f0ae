"""What a campaign is to measure: its tasks, and how its budget is split over them."""
