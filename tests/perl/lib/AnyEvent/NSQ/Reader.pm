package AnyEvent::NSQ::Reader;

# A stand-in with the interface of CPAN's module, for machines where that cannot be had.

use strict;
use warnings;
use parent 'AnyEvent::NSQ::Client';

sub _identified {
    my ($self, $connection, $info) = @_;
    $self->SUPER::_identified($connection, $info);
    $connection->subscribe(
        $self->{topic},
        $self->{channel},
        sub {
            my ($by, $message) = @_;
            $self->{by}{ $message->{message_id} } = $by;
            $self->{message_cb}->($self, $message);
        });
    $connection->ready($self->{ready_count} || int($info->{max_rdy_count} / 10));
}

sub mark_as_done_msg { my ($self, $message) = @_; $self->_by($message)->mark_as_done_msg($message); return 1 }
sub touch_msg        { my ($self, $message) = @_; $self->_by($message)->touch_msg($message);        return 1 }

sub requeue_msg {
    my ($self, $message, $delay) = @_;
    $self->_by($message)->requeue_msg($message, $delay);
    return 1;
}

sub _by { my ($self, $message) = @_; return $self->{by}{ $message->{message_id} } }

1;
