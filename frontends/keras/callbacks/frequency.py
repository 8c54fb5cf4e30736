"""How often something is saved between epochs."""


class BatchCounter:
    """Tell when so many batches have gone by, over the ends of epochs.

    Args:
        frequency: the number of batches from one time to the next, 1 or above.
    """

    def __init__(self, frequency: int) -> None:
        self.frequency = frequency
        self._seen = 0
        self._last: int | None = None

    def is_due(self, batch: int) -> bool:
        """Count a batch, and those left out before it where several are run in one step.

        Args:
            batch: the batch's number in its epoch, from 0.

        Returns:
            Whether enough batches have gone by; counting begins anew then.
        """
        is_new_epoch = self._last is None or batch <= self._last
        self._seen += batch + 1 if is_new_epoch else batch - (self._last or 0)
        self._last = batch
        if self._seen < self.frequency:
            return False
        self._seen = 0
        return True
