"""The tests: house rules here, each room in a folder of its own. They share code as `tests.room.module`."""
