"""The service: pages and an API on a store, for those who have no shell where the coordinator runs.

It reads the store, leaves campaigns and requests there, and runs nothing itself: neither Ray nor TVM is in
its process.
"""
