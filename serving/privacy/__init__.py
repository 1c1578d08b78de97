"""What a person may ask about their own data: see it, have it erased, pause, and never see an item again."""
