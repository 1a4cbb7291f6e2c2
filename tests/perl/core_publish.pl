#!/usr/bin/env perl
# core_publish.pl NSQD TOPIC CODING: one PUB, an MPUB of two.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Bodies;
use Wire;

my ($address, $topic, $coding) = @ARGV;
my $body = Bodies::encoded($coding);
my $nsqd = Wire->new($address);
for my $command ("PUB $topic\n" . Wire::sized($body), "MPUB $topic\n" . Wire::sized(Wire::batch($body, $body))) {
    my $answer = $nsqd->ask($command);
    die "answered $answer\n" unless $answer eq 'OK';
}
