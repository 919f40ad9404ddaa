"""Mean IoU over all images and per source."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable


@METRICS.register_module()
class UDSMetric(IoUMetric):
    """mmseg's ``IoUMetric`` that also reports every source of a mixed data set by itself.

    Beside ``mIoU``, ``mAcc`` and ``aAcc`` of all images together there are ``mIoU/cityscapes``,
    ``mIoU/idd``, ...: the mean over the classes that occur in that source, in its labels or in its
    predictions. Areas are summed over images and ranks before the ratio is taken, as for the whole.

    Args:
        sources: The order of the sources; others follow by name.
        **kwargs: See mmseg's ``IoUMetric``.

    Raises:
        KeyError: Samples without ``source`` in their meta information.
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
            # Float32, in which mmseg counts, is exact in one image but not in a sum of many.
            areas = tuple(area.double() for area in self.results[i])
            self.results[i] = (sample['source'], *areas)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Ratios of the summed areas, for all and per source."""
        if self.format_only:
            return super().compute_metrics(results)
        metrics = super().compute_metrics([areas for _, *areas in results])
        found = {source for source, *_ in results}
        order = [s for s in self.sources if s in found] + sorted(found - set(self.sources))
        columns = {}
        for source in order:
            totals = [
                sum(areas) for areas in zip(*(areas for name, *areas in results if name == source))
            ]
            values = self.total_area_to_metrics(*totals, self.metrics, self.nan_to_num, self.beta)
            overall = values.pop('aAcc')
            columns[source] = next(iter(values.values()))
            for name, value in values.items():
                metrics[f'm{name}/{source}'] = float(np.round(np.nanmean(value) * 100, 2))
            metrics[f'aAcc/{source}'] = float(np.round(overall * 100, 2))
        self._print_table(columns)
        return metrics

    def _print_table(self, columns: dict[str, np.ndarray]) -> None:
        """Log the first metric of each class in each source."""
        table = PrettyTable()
        table.add_column('Class', [*self.dataset_meta['classes'], 'mean'])
        for source, values in columns.items():
            cells = [*np.round(values * 100, 2), np.round(np.nanmean(values) * 100, 2)]
            table.add_column(source, ['-' if np.isnan(cell) else f'{cell:.2f}' for cell in cells])
        print_log(f'per source:\n{table.get_string()}', MMLogger.get_current_instance())
