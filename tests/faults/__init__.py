"""What goes wrong around a loop: signals, forks, floods, full disks, errors anywhere; as on asyncio."""
