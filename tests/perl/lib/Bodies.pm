package Bodies;

# The bodies that travel between Perl and Python, one for each coding, and what a receiver says of one.

use strict;
use warnings;
use JSON::PP ();

my $text = "Gr\x{fc}\x{df}e, \x{4e16}\x{754c} \x{2013} \x{bd} \x{20ac}";
my $JSON = JSON::PP->new->canonical->utf8;

sub document {
    return { name => $text, list => [ 1, 2.5, "x" ], yes => JSON::PP::true, none => undef };
}

sub encoded {
    my ($coding) = @_;
    return join '', map { chr } 0 .. 255 if $coding eq 'bytes';
    if ($coding eq 'text') { utf8::encode(my $octets = $text); return $octets }
    return $JSON->encode(document()) if $coding eq 'json';
    require Data::MessagePack;
    my $document = { %{ document() }, yes => Data::MessagePack::true() };
    return Data::MessagePack->new->utf8->canonical->pack($document);
}

# One line of JSON in ASCII: bytes as hex digits, text as a string, documents as themselves.
sub told {
    my ($coding, $body) = @_;
    my $value = $body;
    if    ($coding eq 'bytes') { $value = unpack 'H*', $body }
    elsif ($coding eq 'text')  { utf8::decode($value) or die "no UTF-8: " . unpack('H*', $body) . "\n" }
    elsif ($coding eq 'json')  { $value = $JSON->decode($body) }
    else {
        require Data::MessagePack;
        $value = Data::MessagePack->new->utf8->unpack($body);
        $_ = $_ ? JSON::PP::true : JSON::PP::false for grep { ref =~ /Boolean/ } values %$value;
    }
    return JSON::PP->new->canonical->ascii->allow_nonref->encode($value);
}

1;
