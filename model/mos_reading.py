"""Histories through MoS: routes sessions, encodes each sequence once, and gathers what every cut reads.

Knows: a frozen network, MoS, histories with their sessions. Used by training and by evaluation.
Does not know: losses, targets, ranks, requests.
"""

# n = events of some users side by side, S = sessions, T = cuts, J = themes read at a cut, P = positions
# B = sequences of a batch, N = their padded length, K = themes, M = streams, d = their width

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.adapters import KINDS, View
from model.backbone import Adaptable, unit
from model.batch import padded, valid_mask
from model.config import FIRST_ITEM_ROW
from model.mos import Fused, MoS, Themed
from model.mos_sequences import Read, Rules, Sessions, by_theme, ranges
from model.prototypes import NO_THEME, Chosen, choose
from model.router import gumbel, running_means, straight_through
from model.sequences import Histories

IntArray = npt.NDArray[np.int64]

#: Padded positions encoded at once: bounds memory, no effect on results.
MAX_POSITIONS = 8192


class Noise(NamedTuple):
    """Gumbel noise on the logits of sessions, one draw for a session and all its moments; training only."""

    scale: float
    generator: torch.Generator


class Routed(NamedTuple):
    """Some users' sessions, routed."""

    places_n: IntArray  # their events, in order, into Histories.rows
    p_nK: Tensor  # theme probabilities of the event's session from its events so far
    known_n: npt.NDArray[np.bool_]  # whether that is any known item
    unit_nD: Tensor  # unit item lines
    item_n: npt.NDArray[np.bool_]  # whether the event's own item is known
    last_s: IntArray  # index of each session's last event
    theme_S: IntArray  # theme that a session closes with, by its number; NO_THEME for all other users'


class Views(NamedTuple):
    """What every cut reads."""

    states_TSMd: Tensor  # zero where a kind was not read
    lengths_TS: Tensor  # events of each kind
    themed: Themed
    fused: Fused


class Reader:
    """One network, one MoS, one set of histories."""

    def __init__(
        self,
        backbone: Adaptable,
        mos: MoS,
        events: Histories,
        sessions: Sessions,
        rules: Rules,
        seed: int = 0,
    ) -> None:
        """``seed`` draws the themes of routing "random"."""
        self.backbone, self.mos = backbone, mos
        self.events, self.sessions, self.rules = events, sessions, rules
        self.device = backbone.items.device
        with torch.no_grad():
            rows = torch.arange(len(backbone.items), device=self.device)
            self.unit_RD = unit(backbone.lines(rows))
        self._local_n = np.full(len(events.rows), -1, np.int64)  # index among the events last routed
        self._by_chance_S = np.random.default_rng(seed).integers(
            0, mos.config.num_themes, len(sessions.lengths())
        )

    def route(self, users: IntArray, noise: Noise | None = None) -> Routed:
        """Theme probabilities at every event of these users (ascending)."""
        events, sessions = self.events, self.sessions
        bounds = zip(events.starts[users].tolist(), events.starts[users + 1].tolist(), strict=True)
        places_n = np.concatenate([np.arange(start, stop) for start, stop in bounds])
        self._local_n[places_n] = np.arange(len(places_n))
        session_n = sessions.of_event[places_n]
        first_n = self._local_n[sessions.starts[session_n]]
        numbers_s, session_index_n = np.unique(session_n, return_inverse=True)
        last_s = self._local_n[sessions.starts[numbers_s + 1] - 1]
        rows_n = events.rows[places_n]
        item_n = rows_n >= FIRST_ITEM_ROW
        unit_nD = self.unit_RD[torch.from_numpy(rows_n).to(self.device)]
        means_nK, count_n = running_means(
            self.mos.router(unit_nD),
            torch.from_numpy(item_n).to(self.device),
            torch.from_numpy(first_n).to(self.device),
        )
        known_n = count_n.cpu().numpy() > 0
        if noise is not None:
            noise_sK = noise.scale * gumbel((len(last_s), means_nK.shape[1]), noise.generator)
            means_nK = means_nK + noise_sK.to(self.device)[torch.from_numpy(session_index_n).to(self.device)]
        p_nK = means_nK.softmax(dim=1)
        if self.mos.config.routing == "random":
            chance_n = torch.from_numpy(self._by_chance_S[session_n]).to(self.device)
            p_nK = torch.nn.functional.one_hot(chance_n, p_nK.shape[1]).to(p_nK.dtype)
        theme_S = np.full(len(sessions.lengths()), NO_THEME, np.int64)
        at_last_s = torch.from_numpy(last_s).to(self.device)
        theme_S[numbers_s] = choose(p_nK[at_last_s].detach().cpu().numpy(), known_n[last_s]).themes_T2[:, 0]
        return Routed(places_n, p_nK, known_n, unit_nD, item_n, last_s, theme_S)

    def chosen(self, routed: Routed, cuts_T: IntArray) -> Chosen:
        """Themes of each cut's open session from its events up to the cut; none where they do not apply."""
        at_T = self._local_n[cuts_T]
        p_TK = routed.p_nK[torch.from_numpy(at_T).to(self.device)].detach().cpu().numpy()
        return choose(p_TK, routed.known_n[at_T] & self.sessions.applies[cuts_T])

    def read(self, routed: Routed, cuts_T: IntArray) -> Views:
        """Candidate-free: every kind that is fused, at ascending cuts of the users that were routed last."""
        kinds = self.mos.config.kinds
        num, config = len(cuts_T), self.backbone.config
        states_TMd = {}
        lengths_TS = np.zeros((num, len(KINDS)), np.int64)
        for at, froms_S in enumerate((self.sessions.global_from, self.sessions.local_from)):
            if KINDS[at] in kinds:
                found = ranges(froms_S[self.sessions.of_event[cuts_T]], cuts_T)
                states_TMd[at] = self.encode(KINDS[at], found, routed)[:, 0]
                lengths_TS[:, at] = found.position_TJ[:, 0] + 1
        themes = self.chosen(routed, cuts_T)
        if "theme" not in kinds:
            themes = Chosen(np.full_like(themes.themes_T2, NO_THEME), themes.weights_T2)
        themed, lengths_TS[:, 2] = self.read_themes(routed, cuts_T, themes.themes_T2)
        states_TMd[2] = themed.states_TMd
        zeros_TMd = themed.states_TMd.new_zeros((num, config.streams, config.stream_dim))
        states_TSMd = torch.stack([states_TMd.get(at, zeros_TMd) for at in range(len(KINDS))], dim=1)
        lengths = torch.from_numpy(lengths_TS).to(self.device)
        return Views(states_TSMd, lengths, themed, self.mos.fuse(states_TSMd, themed.a_TK, lengths))

    def read_themes(self, routed: Routed, cuts_T: IntArray, themes_TJ: IntArray) -> tuple[Themed, IntArray]:
        """The theme expert at these cuts, weighted by p of the open session, and (T,) events it read."""
        states_TJMd, lengths_TJ = self.theme_states(routed, cuts_T, themes_TJ)
        at_T = torch.from_numpy(self._local_n[cuts_T]).to(self.device)
        themes = torch.from_numpy(themes_TJ).to(self.device)
        weights_TJ = routed.p_nK[at_T].gather(1, themes.clamp_min(0))
        read_TJ = torch.from_numpy(lengths_TJ > 0).to(self.device)
        return self.mos.themed(states_TJMd, themes, weights_TJ, read_TJ), lengths_TJ.sum(axis=1)

    def theme_states(self, routed: Routed, cuts_T: IntArray, themes_TJ: IntArray) -> tuple[Tensor, IntArray]:
        """(T, J, M, d) states of these themes' sequences, and their lengths (T, J)."""
        found = by_theme(self.sessions, self.rules, cuts_T, routed.theme_S, themes_TJ)
        return self.encode("theme", found, routed), found.position_TJ + 1

    def encode(self, kind: str, found: Read, routed: Routed) -> Tensor:
        """(T, J, M, d) states that the cuts read; zero where they read none."""
        config = self.backbone.config
        shape = (*found.line_TJ.shape, config.streams, config.stream_dim)
        if not found.sequences:
            return self.unit_RD.new_zeros(shape)
        lengths = np.array([len(sequence) for sequence in found.sequences], np.int64)
        if lengths.max() > config.max_events:
            raise ValueError(f"a {kind} sequence of {lengths.max()} events, max_events {config.max_events}")
        order = np.argsort(-lengths, kind="stable")
        parts = []
        at = 0
        while at < len(order):
            some = order[at : at + max(1, MAX_POSITIONS // int(lengths[order[at]]))]
            parts.append(self._encode(kind, found, some, routed))
            at += len(some)
        offsets = np.zeros(len(order), np.int64)
        offsets[order] = np.cumsum(lengths[order]) - lengths[order]
        flat_PMd = torch.cat(parts)
        none_TJ = found.line_TJ < 0
        index_TJ = np.where(none_TJ, 0, offsets[found.line_TJ] + found.position_TJ)
        states = flat_PMd.index_select(0, torch.from_numpy(index_TJ.reshape(-1)).to(self.device)).view(shape)
        return states.masked_fill(torch.from_numpy(none_TJ).to(self.device)[:, :, None, None], 0.0)

    def _encode(self, kind: str, found: Read, some: IntArray, routed: Routed) -> Tensor:
        """(P, M, d) states of some sequences, one after the other."""
        places = [found.sequences[line] for line in some.tolist()]
        batch = padded(
            [(self.events.rows[at], self.events.times_ms[at]) for at in places],
            self.backbone.config.max_events,
        ).to(self.device)
        local_P = torch.from_numpy(self._local_n[np.concatenate(places)]).to(self.device)
        valid_BN = valid_mask(batch.lengths_B, batch.rows_BN.shape[1])
        view = self._view(kind, [found.themes[line] for line in some.tolist()], routed, local_P, valid_BN)
        encoded = self.backbone.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, adapters=view)
        return encoded.states_BNMd[valid_BN]

    def _view(self, kind: str, themes: list[int], routed: Routed, local_P: Tensor, valid_BN: Tensor) -> View:
        """The network as this kind's expert; events of a theme's sequence teach their session's p."""
        if self.mos.tokens is not None:
            p_PK = self.mos.router(routed.unit_nD[local_P]).softmax(dim=1)
            p_BNK = p_PK.new_zeros((*valid_BN.shape, p_PK.shape[1]))
            p_BNK[valid_BN] = p_PK
            return self.mos.tokens.view(p_BNK)
        if kind != "theme" or not torch.is_grad_enabled():
            return self.mos.adapters.view(kind)
        of_line_B = torch.tensor(themes, device=self.device)
        last_n = self._last_of_session(routed).to(self.device)
        theme_P = of_line_B[:, None].expand(valid_BN.shape)[valid_BN]
        p_P = routed.p_nK[last_n[local_P], theme_P]
        scale_BN = p_P.new_ones(valid_BN.shape)
        scale_BN[valid_BN] = straight_through(p_P.clamp_min(1e-12))
        return self.mos.adapters.view(kind, scale_BN)

    def _last_of_session(self, routed: Routed) -> Tensor:
        """(n,) index of the last event of each event's session."""
        counts = np.diff(np.concatenate([[-1], routed.last_s]))
        return torch.from_numpy(np.repeat(routed.last_s, counts))
