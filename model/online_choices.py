"""How far provisional rows are damped: chosen on the last tenth of the warm part, never on the stream.

Knows: a few cosines, nDCG@10 of model and rows. Does not know: the stream, files, training from nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import TrainConfig
from model.metrics import summary
from model.online import OnlineConfig, online
from model.prequential import Choices

#: 1 = no damping.
COSINES = (1.0, 0.85, 0.6)


def choose_cosine(
    model: Backbone,
    catalogue: Catalogue,
    columns: EventColumns,
    num_learned: int,
    stops: Sequence[int],
    choices: Choices,
    config: OnlineConfig,
    train_config: TrainConfig,
    filter_seen: bool = True,
) -> float:
    """The cosine with the best nDCG@10 of model and rows on warm ``columns`` from ``num_learned`` on;
    the served line hardly tells them apart, because its leader leans on the memory where rows do harm.

    ``model`` must have been trained on the events before alone. Where no item is new all are alike, and the
    first one tried stays.
    """
    found = {}
    for cosine in (config.rows.cosine, *(one for one in COSINES if one != config.rows.cosine)):
        tried = replace(config, rows=replace(config.rows, cosine=cosine))
        ran = online(model, catalogue, columns, num_learned, stops, choices, tried, train_config, filter_seen)
        found[cosine] = summary(ran.lines["model + rows"])["ndcg@10"]
    return max(found, key=lambda cosine: found[cosine])
