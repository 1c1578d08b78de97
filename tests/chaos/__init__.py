"""Kills, damage and full disks under load: nothing acknowledged is lost, nothing is stored twice."""
