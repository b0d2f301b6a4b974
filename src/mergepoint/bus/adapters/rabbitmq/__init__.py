"""The engine RabbitMQ: quorum queues, publisher confirms, a topic exchange."""

from mergepoint.bus.adapters.rabbitmq.engine import RabbitmqEngine

__all__ = ["RabbitmqEngine"]
