"""Histories of a model that is served: events come in one by one, and count at once. docs/online-histories.md."""

from automtl.serving.online.drafts import Recorded as Recorded
from automtl.serving.online.online import OnlineHistories as OnlineHistories
