"""Reports the accuracy, the size and the speed of a quantized file beside those of its source."""

from dataclasses import dataclass

from sfnet_mm.utils.tables import markdown_table

from .calibration import mean_score

Scores = dict[str, dict[str, float]]


@dataclass
class Quantized:
    """The comparison of an INT8 file with its float file.

    Attributes:
        before: Scores of the float file, see :func:`.calibration.class_scores`.
        after: Scores of the INT8 file.
        bytes_before: Size of the float file.
        bytes_after: Size of the INT8 file.
        speed: Frame rate relative to the float file, the median over interleaved rounds.
    """

    before: Scores
    after: Scores
    bytes_before: int = 0
    bytes_after: int = 0
    speed: float = 0.0

    @property
    def drop(self) -> float:
        """The loss of mIoU in points."""
        return mean_score(self.before['IoU']) - mean_score(self.after['IoU'])

    def worsened_classes(self) -> list[str]:
        """List the classes whose IoU fell with their loss in points, the largest loss first."""
        lost = {c: v - self.after['IoU'][c] for c, v in self.before['IoU'].items()}
        return [
            f'{c} -{lost[c]:.1f}' for c in sorted(lost, key=lost.__getitem__)[::-1] if lost[c] > 0
        ]

    def __str__(self) -> str:
        sizes = [f'{size / 1e6:.1f}' for size in (self.bytes_before, self.bytes_after)]
        return (
            f'{self.table()}\n\nsize: {sizes[0]} MB float, {sizes[1]} MB INT8\n'
            f'speed: {self.speed:.2f} times that of the float file, both in the same rounds'
        )

    def table(self) -> str:
        """Write the scores by class as Markdown."""
        kinds = list(self.before)
        head = ['class', *(f'{k}{what}' for k in kinds for what in (' float', ' INT8', ' drop'))]
        rows = []
        for name in [*self.before['IoU'], 'mean']:
            cells = []
            for kind in kinds:
                pair = [
                    mean_score(scores[kind]) if name == 'mean' else scores[kind][name]
                    for scores in (self.before, self.after)
                ]
                cells += [f'{value:.2f}' for value in (*pair, pair[0] - pair[1])]
            rows.append([name, *cells])
        return '\n'.join(markdown_table(head, rows, 1))
