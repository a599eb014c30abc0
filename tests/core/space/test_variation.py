from __future__ import annotations

from typing import Any

import numpy as np

from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps


def active(codes: np.ndarray) -> np.ndarray:
    return codes >= 0


def test_a_rate_of_zero_changes_nothing(mixed: Space, rng: np.random.Generator) -> None:
    codes = mixed.sample(100, rng)
    np.testing.assert_array_equal(mixed.mutate(codes, 0.0, rng), codes)


def test_a_rate_of_one_changes_every_unconditional_gene(rng: np.random.Generator) -> None:
    space = Space([Choice("a", ("x", "y")), Integer("b", 0, 9), Taps("c", 2, 5), Simplex("d", 2)])
    codes = space.sample(200, rng)
    changed = space.mutate(codes, 1.0, rng) != codes
    assert changed[:, 0].all()
    assert changed[:, 1].all()
    assert changed[:, 2:4].any(1).all()
    assert changed[:, 4:].any(1).all()


def test_the_rate_is_the_share_of_genes_that_change(rng: np.random.Generator) -> None:
    space = Space([Choice(f"g{i}", (1, 2, 3)) for i in range(20)])
    codes = space.sample(2000, rng)
    assert abs(np.mean(space.mutate(codes, 0.1, rng) != codes) - 0.1) < 0.01


def test_half_of_ordered_mutations_are_single_steps(rng: np.random.Generator) -> None:
    space = Space([Integer("a", 0, 1000)])
    codes = np.full((4000, 1), 500.0)
    steps = np.abs(space.mutate(codes, 1.0, rng) - 500)
    assert abs(np.mean(steps == 1) - 0.5) < 0.04


def test_mutation_leaves_the_given_codes_alone(mixed: Space, rng: np.random.Generator) -> None:
    codes = mixed.sample(50, rng)
    before = codes.copy()
    mixed.mutate(codes, 1.0, rng)
    mixed.crossover(codes, codes[::-1], rng)
    np.testing.assert_array_equal(codes, before)


def test_genes_that_become_active_are_drawn_uniformly(rng: np.random.Generator) -> None:
    space = Space([Choice("on", (False, True)), Choice("a", (1, 2, 3, 4), when=("on", (True,)))])
    off = np.tile(space.encode({"on": False}), (4000, 1))
    drawn = space.columns(space.mutate(off, 1.0, rng))["a"]
    shares = np.bincount(drawn.astype(int), minlength=5)[1:] / 4000
    np.testing.assert_allclose(shares, 0.25, atol=0.03)


def test_a_child_takes_every_gene_from_a_parent_that_has_it(
    cells: Space, rng: np.random.Generator
) -> None:
    a, b = cells.sample(3000, rng), cells.sample(3000, rng)
    child = cells.crossover(a, b, rng)
    np.testing.assert_array_equal(cells.canonical(child), child)
    assert (~active(child) | (child == a) | (child == b)).all()
    different = (a != b) & active(a) & active(b) & active(child)
    assert abs(np.mean(child[different] == a[different]) - 0.5) < 0.03


def test_crossing_a_candidate_with_itself_gives_itself(
    mixed: Space, rng: np.random.Generator
) -> None:
    codes = mixed.sample(100, rng)
    np.testing.assert_array_equal(mixed.crossover(codes, codes, rng), codes)


def test_corners_are_the_extremes(mixed: Space) -> None:
    low, middle, high = (mixed.decode(row) for row in mixed.corners())
    assert (low["width"], middle["width"], high["width"]) == (16, 32, 64)
    assert (low["depth"], middle["depth"], high["depth"]) == (1, 2, 3)
    assert (low["hints"], high["hints"]) == ([0, 1, 2], [9, 10, 11])
    assert middle["hints"] == [2, 5, 8]
    assert middle["dropout"] == 0.25
    assert "dropout" not in low
    assert len(low["weights"]) == 1
    assert len(high["weights"]) == 3


def test_neighbours_are_all_that_differ_by_one_step() -> None:
    space = Space([Choice("a", ("x", "y", "z")), Choice("b", (1, 2, 3)), Real("c", 0, 1)])
    around = space.neighbours(space.encode({"a": "y", "b": 1, "c": 0.5}))
    found = {(c["a"], c["b"]) for c in map(space.decode, around)}
    assert found == {("x", 1), ("z", 1), ("y", 2)}
    assert len(around) == 3


def test_a_deeper_neighbour_repeats_the_last_layer(cells: Space) -> None:
    row = {"width": 8, "depth": 1, "kind": ["quant"], "bits": [4], "front": "wave"}
    around: list[dict[str, Any]] = [cells.decode(r) for r in cells.neighbours(cells.encode(row))]
    deeper = {**row, "depth": 2, "kind": ["quant", "quant"], "bits": [4, 4]}
    flat = {**row, "depth": 0, "kind": [], "bits": []}
    dense = {**row, "kind": ["dense"], "bits": [None]}
    bits = [{**row, "bits": [2]}, {**row, "bits": [8]}]
    mel = {**row, "front": "mel", "bands": 80}
    wide = {**row, "width": 16}
    expected = [deeper, flat, dense, *bits, mel, wide]
    assert sorted(map(repr, map(sorted_items, around))) == sorted(
        map(repr, map(sorted_items, expected))
    )


def sorted_items(configuration: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(configuration.items())


def test_tap_neighbours_move_one_tap(mixed: Space) -> None:
    space = Space([Taps("hints", 3, 6)])
    around = space.neighbours(space.encode({"hints": [0, 2, 3]}))
    assert sorted(map(tuple, around.tolist())) == [(0, 1, 3), (0, 2, 4), (1, 2, 3)]


def test_encodings_scale_order_and_flag_activity(cells: Space) -> None:
    row = {"width": 16, "depth": 1, "kind": ["quant"], "bits": [4], "front": "mel", "bands": 40}
    features = cells.encoding(cells.encode(row)[None])[0]
    bits, bands, width, depth = [0.5, 0, 1, 0], [0, 1], [1], [0.5]
    kind, front = [0, 1, 0, 0, 1, 0], [0, 1]
    assert features.tolist() == [*bits, *bands, *width, *depth, *kind, *front]


def test_encodings_tell_configurations_apart(
    cells: Space, every_cell: list[dict[str, Any]]
) -> None:
    features = cells.encoding(np.stack([cells.encode(cell) for cell in every_cell]))
    assert len(np.unique(features, axis=0)) == len(every_cell)
    assert features.min() == 0
    assert features.max() == 1


def test_log_integers_are_encoded_on_their_log_scale() -> None:
    space = Space([Integer("n", 1, 100, log=True)])
    features = space.encoding(np.stack([space.encode({"n": n}) for n in (1, 10, 100)]))
    np.testing.assert_allclose(features[:, 0], [0, 0.5, 1], atol=1e-12)


def test_genes_with_one_value_have_no_feature() -> None:
    space = Space([Choice("depth", (12,)), Choice("heads", (1, 2), per="depth")])
    assert space.encoding(space.corners()).shape == (3, 12)
