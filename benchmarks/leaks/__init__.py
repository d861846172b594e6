"""Planted secrets: does synthesis by rules ever tell one, and how many records does it give up?"""
