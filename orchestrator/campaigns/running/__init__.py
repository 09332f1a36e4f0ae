"""How a campaign is run: who holds it, the stages it goes through, and how it ends."""
