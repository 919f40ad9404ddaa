"""Computes the mean IoU over all images and per source."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.registry import METRICS

from .boundary_iou_metric import BoundaryIoUMetric, mean_percent


@METRICS.register_module()
class UDSMetric(BoundaryIoUMetric):
    """``BoundaryIoUMetric`` that also reports every source of a mixed data set on its own.

    Beside ``mIoU``, ``mAcc`` and ``aAcc`` of all images together there are ``mIoU/cityscapes``,
    ``mIoU/idd``, ...: the mean over the classes that occur in that source, in its labels or in its
    predictions. Areas are summed over images and ranks before the ratio is taken, as for all images
    together. The same is done for ``bIoU`` if ``iou_metrics`` has it.

    Args:
        sources: Order of the sources in the report; other sources follow in alphabetical order.
        **kwargs: See ``BoundaryIoUMetric``.

    Raises:
        KeyError: A sample has no ``source`` in its meta information.
    """

    def __init__(
        self, sources: Sequence[str] = ('cityscapes', 'idd', 'mapillary', 'bdd'), **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.sources = tuple(sources)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Add the areas of a batch, each with the source of its image."""
        before = len(self.results)
        super().process(data_batch, data_samples)
        if self.format_only:
            return
        for i, sample in enumerate(data_samples, start=before):
            if 'source' not in sample:
                raise KeyError(
                    "UDSMetric needs the source of each image: add 'source' to meta_keys of "
                    'PackSegInputs'
                )
            self.results[i] = (sample['source'], *self.results[i])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of all images and of each source."""
        if self.format_only:
            return super().compute_metrics(results)
        metrics = super().compute_metrics([areas for _, *areas in results])
        found = {source for source, *_ in results}
        order = [s for s in self.sources if s in found] + sorted(found - set(self.sources))
        columns = {}
        for source in order:
            values = self.class_values([areas for name, *areas in results if name == source])
            metrics[f'aAcc/{source}'] = mean_percent(values.pop('aAcc'))
            for name, value in values.items():
                key = name if name == 'bIoU' else f'm{name}'
                metrics[f'{key}/{source}'] = mean_percent(value)
            columns[source] = next(iter(values.values()))
        self.print_table('per source', columns)
        return metrics
