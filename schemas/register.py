"""Every message that has a topic; all others are parts of these."""

from __future__ import annotations

from typing import Final

from schemas.epcis import ObjectEvent
from schemas.messages import Capture, DeadLetter, Decision, Disposition, Product, Reference, Scan, Sidelined

MESSAGES: Final = (Capture, Scan, Product, Reference, Decision, Sidelined, Disposition, ObjectEvent, DeadLetter)
