"""Threads that meet a class of blocks for the first time, and at once."""

from __future__ import annotations

from threading import Thread

from xblock.core import XBlock
from xblock.fields import Integer, Scope
from xblock.runtime import Mixologist

from fieldstone.runtime.inheritance import InheritedSettings
from fieldstone.runtime.ready_classes import make_ready


class WhileItIsMadeReady:
    """An attribute of a class; XBlock looks at it in the middle of gathering the class's fields."""

    happens = None

    def __get__(self, instance, owner):
        happens, self.happens = self.happens, None
        if happens:
            happens()


def test_a_thread_that_comes_second_waits_for_the_fields():
    seen = []

    def use():
        make_ready(cls)
        seen.append(cls.fields)

    def others_come():
        second.start()
        second.join(0.3)  # it waits for this one, so this has to end; without the lock it has ended by then

    class Late(XBlock):
        number = Integer(scope=Scope.user_state)
        look = WhileItIsMadeReady()

    second = Thread(target=use)
    cls = Mixologist([InheritedSettings]).mix(Late)
    vars(Late)["look"].happens = others_come
    use()
    second.join()
    assert len(seen) == 2
    assert all(fields is not None and "number" in fields and "due" in fields for fields in seen)
