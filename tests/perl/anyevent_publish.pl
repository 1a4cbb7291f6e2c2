#!/usr/bin/env perl
# anyevent_publish.pl NSQD TOPIC CODING: one PUB, an MPUB of two.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use AnyEvent;
use AnyEvent::NSQ::Writer;
use Bodies;

my ($address, $topic, $coding) = @ARGV;
my $body = Bodies::encoded($coding);
my $done = AE::cv;
my $late = AE::timer 20, 0, sub { $done->croak("not done within 20 s\n") };

my $writer = AnyEvent::NSQ::Writer->new(
    nsqd_tcp_addresses => $address,
    error_cb           => sub { $done->croak("$_[1]\n") },
    disconnect_cb      => sub { $done->send },
    identify_cb        => sub {
        my ($writer) = @_;
        $writer->publish($topic, $body, sub {
            $writer->publish($topic, $body, $body, sub { $writer->disconnect });
        });
    },
);
$done->recv;
