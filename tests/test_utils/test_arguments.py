import pytest

from sfnet_mm.utils.arguments import check_choice, check_least, check_odd, check_range


@pytest.mark.parametrize(
    'check, limits, good, bad, message',
    [
        (check_choice, [('a', None)], ('a', None), ('b', 0), 'is not one of a, None'),
        (check_odd, [], (1, 3), (0, 2, -1), 'must be odd, an even kernel shifts'),
        (check_least, [2], (2, 9), (1,), 'must be 2 or more'),
        (check_range, [0, 0.5], (0, 0.5), (-0.1, 0.6, float('nan')), 'is not in 0..0.5'),
    ],
)
def test_a_wrong_value_is_named_with_its_owner(check, limits, good, bad, message):
    for value in good:
        check('Layer', *limits, argument=value)
    for value in bad:
        with pytest.raises(ValueError) as error:
            check('Layer', *limits, other=good[0], argument=value)
        assert str(error.value).startswith(f'Layer: argument={value!r} {message}')
