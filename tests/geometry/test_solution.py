from torch import nn

from gensweep.geometry.solution import Layout


def net():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    model[3].bias.requires_grad_(False)
    return model


def test_unpack_inverts_pack():
    model = net()
    layout, parameters = Layout.of(model), dict(model.named_parameters())
    back = layout.unpack(layout.pack(parameters))
    assert "3.bias" not in back  # frozen: not part of θ
    assert all((back[name] == parameters[name]).all() for name in back)
    assert layout.size == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_unpack_returns_views_and_pack_a_copy():
    model = net()
    layout = Layout.of(model)
    theta = layout.pack(dict(model.named_parameters()))
    layout.unpack(theta)["0.weight"][0] = 7
    assert (theta == 7).sum() == 9
    assert not (model[0].weight == 7).any()
