#!/usr/bin/env perl
# core_subscribe.pl NSQD TOPIC CHANNEL CODING COUNT: touches and gives back each message once, then finishes it and
# tells of it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Bodies;
use Wire;

my ($address, $topic, $channel, $coding, $count) = @ARGV;
my $nsqd = Wire->new($address);
die "no OK\n" unless $nsqd->ask("SUB $topic $channel\n") eq 'OK';
$nsqd->write("RDY 2\n");
while ($count) {
    my $message = $nsqd->message;
    my $id      = $message->{message_id};
    if ($message->{attempts} == 1) {
        $nsqd->write("TOUCH $id\nREQ $id 0\n");
        next;
    }
    print Bodies::told($coding, $message->{message}), "\n";
    $nsqd->write("FIN $id\n");
    $count--;
}
die "no CLOSE_WAIT\n" unless $nsqd->ask("CLS\n") eq 'CLOSE_WAIT';
