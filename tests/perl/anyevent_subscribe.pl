#!/usr/bin/env perl
# anyevent_subscribe.pl NSQD TOPIC CHANNEL CODING COUNT: touches and gives back each message once, then finishes it
# and tells of it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AnyEvent;
use AnyEvent::NSQ::Reader;
use Bodies;

my ($address, $topic, $channel, $coding, $count) = @ARGV;
my $done = AE::cv;
my $late = AE::timer 20, 0, sub { $done->croak("not done within 20 s\n") };

my $reader = AnyEvent::NSQ::Reader->new(
    topic              => $topic,
    channel            => $channel,
    nsqd_tcp_addresses => $address,
    ready_count        => 2,
    error_cb           => sub { $done->croak("$_[1]\n") },
    disconnect_cb      => sub { $done->send },
    message_cb         => sub {
        my ($reader, $message) = @_;
        if ($message->{attempts} == 1) {
            $reader->touch_msg($message);
            return $reader->requeue_msg($message, 0);
        }
        print Bodies::told($coding, $message->{message}), "\n";
        $reader->mark_as_done_msg($message);
        $reader->disconnect unless --$count;
    },
);
$done->recv;
